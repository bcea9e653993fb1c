//! Who speaks when: the conversation of one call as a state machine.
//!
//! It knows utterances, turns and sentences by number, and the words that go
//! with them. It does not know audio samples, actors, providers or clocks; time
//! comes in with each input, and whoever drives it watches the deadlines.

mod conversation;
mod listener_words;
mod marked;
mod sentences;
mod speech;

pub use conversation::{Conversation, TurnInput, TurnOutput, UtteranceFacts};
pub use sentences::{SENTENCE_CHARS_MAX, Sentences, all_sentences, sentences, words_heard};
pub use speech::{CutShort, Purpose};
