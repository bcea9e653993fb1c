//! A connection that is lost, and a caller who comes back.

use super::{NOTHING, Story, finished, replied, says, started, transcribed, utterance};
use crate::turn::{CutShort, TurnInput};
use crate::types::{Epoch, SentenceId};

#[test]
fn what_a_lost_connection_cut_off_is_said_again_to_the_caller_who_comes_back() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("First part. Second part."));
    story.then(started(1));
    story.then(finished(1));
    story.then(started(2));
    let lost = story.then(TurnInput::MediaLost { can_hear: false });
    assert_eq!(lost, ["drop 2", "stop, epoch 1"]);
    let cuts = vec![CutShort {
        sentence: SentenceId(2),
        heard_samples: 100,
        samples: 16_000,
        open: false,
    }];
    assert_eq!(story.then(TurnInput::SpeakingStopped { epoch: Epoch(1), cuts }), NOTHING);
    assert_eq!(story.then(TurnInput::MediaResumed), ["speak 3 Second part."]);
}

#[test]
fn a_reply_that_comes_while_nobody_listens_waits() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "breakfast"));
    story.then(TurnInput::MediaLost { can_hear: false });
    story.then(TurnInput::SpeakingStopped { epoch: Epoch(1), cuts: Vec::new() });
    assert_eq!(story.then(replied(1, says("At seven."))), NOTHING);
    assert_eq!(story.then(TurnInput::MediaResumed), ["speak 2 At seven."]);
}

#[test]
fn a_leg_that_still_hears_is_told_of_the_interruption() {
    let mut story = Story::begin();
    let done = story.then(TurnInput::MediaLost { can_hear: true });
    assert_eq!(done[0], "stop, epoch 1");
    assert!(done[1].contains("connection interruption"), "{done:?}");
}
