//! PocketSphinx through the C interface of its 5prealpha version, which Debian and
//! Ubuntu ship: a pronouncing vocabulary, searches over it, and whole utterances.
//!
//! It refuses to judge what comes out. A decoder stays on its thread.
#![allow(unsafe_code, reason = "pocketsphinx is a C library; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::LibraryError;
use super::foreign::{ForeignLibrary, Package};

const PACKAGE: Package =
    Package { name: "the speech recogniser pocketsphinx", package: "libpocketsphinx3" };
/// The package of the acoustic model.
const MODEL_PACKAGE: &str = "pocketsphinx-en-us";
const BASE_NAMES: [&str; 2] = ["libsphinxbase.so.3", "libsphinxbase.so"];
const DECODER_NAMES: [&str; 2] = ["libpocketsphinx.so.3", "libpocketsphinx.so"];

/// How a decoder listens.
#[derive(Clone, Copy, Debug)]
pub(in crate::services::speech) struct Tuning {
    /// Whether the library subtracts steady noise itself.
    pub(in crate::services::speech) remove_noise: bool,
}

/// The best path through a search.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::services::speech) struct BestPath {
    /// The words.
    pub(in crate::services::speech) text: String,
    /// Score of the whole path, in the library's logarithmic unit.
    pub(in crate::services::speech) score: i32,
    /// Frames of 10 ms that were looked at.
    pub(in crate::services::speech) frames: u32,
    /// Frames of them that belong to words.
    pub(in crate::services::speech) word_frames: u32,
}

type CmdLnInit = unsafe extern "C" fn(*mut c_void, *const c_void, c_int, ...) -> *mut c_void;
type CmdLnFree = unsafe extern "C" fn(*mut c_void) -> c_int;
type Args = unsafe extern "C" fn() -> *const c_void;
type Init = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void) -> c_int;
type AddWord = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, c_int) -> c_int;
type SetText = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> c_int;
type SetSearch = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
type Simple = unsafe extern "C" fn(*mut c_void) -> c_int;
type ProcessRaw = unsafe extern "C" fn(*mut c_void, *const i16, usize, c_int, c_int) -> c_int;
type GetHyp = unsafe extern "C" fn(*mut c_void, *mut i32) -> *const c_char;
type SegIter = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
type SegWord = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type SegFrames = unsafe extern "C" fn(*mut c_void, *mut c_int, *mut c_int);

/// The functions, with the libraries they are in.
struct Functions {
    config_new: CmdLnInit,
    config_free: CmdLnFree,
    config_args: Args,
    new: Init,
    free: Free,
    add_word: AddWord,
    set_jsgf: SetText,
    set_search: SetSearch,
    start_stream: Simple,
    start_utterance: Simple,
    process_raw: ProcessRaw,
    end_utterance: Simple,
    hypothesis: GetHyp,
    frames: Simple,
    segments: SegIter,
    next_segment: SegIter,
    segment_word: SegWord,
    segment_frames: SegFrames,
    _libraries: [ForeignLibrary; 2],
}

/// A decoder with its vocabulary and searches.
pub(in crate::services::speech) struct Decoder {
    /// Never null. Not `Send`, as it has to be.
    decoder: *mut c_void,
    config: *mut c_void,
    functions: Functions,
}

impl Decoder {
    /// Loads the library and the acoustic model in `model_dir`. It knows no word yet.
    pub(in crate::services::speech) fn open(
        model_dir: &Path,
        tuning: Tuning,
    ) -> Result<Self, LibraryError> {
        let functions = Functions::load()?;
        if !model_dir.join("mdef").exists() {
            let path = model_dir.display().to_string();
            return Err(LibraryError::File { path, package: MODEL_PACKAGE });
        }
        let model = path_text(model_dir)?;
        let remove_noise = if tuning.remove_noise { c"yes" } else { c"no" };
        // SAFETY: the argument table is the library's own; the list is pairs of C
        // strings that outlive the call (it copies them) and ends with null.
        let config = unsafe {
            (functions.config_new)(
                std::ptr::null_mut(),
                (functions.config_args)(),
                1,
                c"-hmm".as_ptr(),
                model.as_ptr(),
                c"-remove_noise".as_ptr(),
                remove_noise.as_ptr(),
                c"-logfn".as_ptr(),
                c"/dev/null".as_ptr(),
                std::ptr::null::<c_char>(),
            )
        };
        if config.is_null() {
            return Err(LibraryError::Call { call: "cmd_ln_init" });
        }
        // SAFETY: `config` is a live configuration; the decoder keeps a count of it.
        let decoder = unsafe { (functions.new)(config) };
        if decoder.is_null() {
            // SAFETY: nobody else holds it.
            unsafe { (functions.config_free)(config) };
            return Err(LibraryError::Call { call: "ps_init" });
        }
        Ok(Self { decoder, config, functions })
    }

    /// Adds a word, or with a name like `read(2)` another way to say one.
    pub(in crate::services::speech) fn add_word(
        &mut self,
        word: &str,
        phones: &str,
    ) -> Result<(), LibraryError> {
        let word = CString::new(word).map_err(|_| LibraryError::Nul)?;
        let phones = CString::new(phones).map_err(|_| LibraryError::Nul)?;
        // SAFETY: live decoder, C strings that outlive the call.
        let id =
            unsafe { (self.functions.add_word)(self.decoder, word.as_ptr(), phones.as_ptr(), 0) };
        if id < 0 { Err(LibraryError::Call { call: "ps_add_word" }) } else { Ok(()) }
    }

    /// Adds a search through a JSGF grammar whose words are known.
    pub(in crate::services::speech) fn add_grammar(
        &mut self,
        name: &CStr,
        jsgf: &str,
    ) -> Result<(), LibraryError> {
        let jsgf = CString::new(jsgf).map_err(|_| LibraryError::Nul)?;
        // SAFETY: live decoder, C strings that outlive the call.
        let status =
            unsafe { (self.functions.set_jsgf)(self.decoder, name.as_ptr(), jsgf.as_ptr()) };
        ok(status, "ps_set_jsgf_string")
    }

    /// The best path of a whole utterance (16 kHz) through the search `name`; `None`
    /// if there is none. Nothing of an earlier utterance is left: without a new stream
    /// the library would carry its idea of the noise from one caller to the next.
    pub(in crate::services::speech) fn decode(
        &mut self,
        name: &CStr,
        samples: &[i16],
    ) -> Result<Option<BestPath>, LibraryError> {
        let Functions { set_search, start_stream, start_utterance, .. } = self.functions;
        // SAFETY: live decoder between two utterances; `name` outlives the call.
        unsafe {
            ok(set_search(self.decoder, name.as_ptr()), "ps_set_search")?;
            ok(start_stream(self.decoder), "ps_start_stream")?;
            ok(start_utterance(self.decoder), "ps_start_utt")?;
        }
        let Functions { process_raw, end_utterance, .. } = self.functions;
        // SAFETY: an utterance is open; `samples` holds as many samples as said and is
        // only read; "full utterance" lets the mean be taken over all of it.
        unsafe {
            let done = process_raw(self.decoder, samples.as_ptr(), samples.len(), 0, 1);
            let ended = end_utterance(self.decoder);
            if done < 0 {
                return Err(LibraryError::Call { call: "ps_process_raw" });
            }
            ok(ended, "ps_end_utt")?;
        }
        Ok(self.best_path())
    }

    fn best_path(&mut self) -> Option<BestPath> {
        let mut score = 0;
        // SAFETY: live decoder after an utterance; the text is valid until the next
        // call and copied before it.
        let (text, frames) = unsafe {
            let text = (self.functions.hypothesis)(self.decoder, &raw mut score);
            if text.is_null() {
                return None;
            }
            let text = CStr::from_ptr(text).to_string_lossy().into_owned();
            (text, (self.functions.frames)(self.decoder))
        };
        let word_frames = self.count_word_frames();
        Some(BestPath { text, score, frames: u32::try_from(frames).unwrap_or(0), word_frames })
    }

    /// The frames that belong to words and not to silence or noise.
    fn count_word_frames(&mut self) -> u32 {
        let Functions { segments, next_segment, segment_word, segment_frames, .. } = self.functions;
        let mut word_frames = 0;
        // SAFETY: live decoder after an utterance. The iterator is valid until it is
        // advanced, and frees itself at its end; the word is read before that.
        unsafe {
            let mut segment = segments(self.decoder);
            while !segment.is_null() {
                let (mut first, mut last) = (0, 0);
                segment_frames(segment, &raw mut first, &raw mut last);
                let word = segment_word(segment);
                if !word.is_null() && !is_filler(CStr::from_ptr(word).to_bytes()) {
                    word_frames += u32::try_from(last - first + 1).unwrap_or(0);
                }
                segment = next_segment(segment);
            }
        }
        word_frames
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: both are live and not used after this; the decoder gives back its
        // own count of the configuration.
        unsafe {
            (self.functions.free)(self.decoder);
            (self.functions.config_free)(self.config);
        }
    }
}

impl Functions {
    fn load() -> Result<Self, LibraryError> {
        let base = PACKAGE.open(&BASE_NAMES)?;
        let main = PACKAGE.open(&DECODER_NAMES)?;
        // SAFETY: the types are those of cmd_ln.h and pocketsphinx.h of 5prealpha, and
        // the libraries are kept beside the functions.
        unsafe {
            Ok(Self {
                config_new: base.function("cmd_ln_init")?,
                config_free: base.function("cmd_ln_free_r")?,
                config_args: main.function("ps_args")?,
                new: main.function("ps_init")?,
                free: main.function("ps_free")?,
                add_word: main.function("ps_add_word")?,
                set_jsgf: main.function("ps_set_jsgf_string")?,
                set_search: main.function("ps_set_search")?,
                start_stream: main.function("ps_start_stream")?,
                start_utterance: main.function("ps_start_utt")?,
                process_raw: main.function("ps_process_raw")?,
                end_utterance: main.function("ps_end_utt")?,
                hypothesis: main.function("ps_get_hyp")?,
                frames: main.function("ps_get_n_frames")?,
                segments: main.function("ps_seg_iter")?,
                next_segment: main.function("ps_seg_next")?,
                segment_word: main.function("ps_seg_word")?,
                segment_frames: main.function("ps_seg_frames")?,
                _libraries: [base, main],
            })
        }
    }
}

/// `<sil>`, `[NOISE]` and the like.
fn is_filler(word: &[u8]) -> bool {
    matches!(word.first(), Some(b'<' | b'[' | b'('))
}

const fn ok(status: c_int, call: &'static str) -> Result<(), LibraryError> {
    if status < 0 { Err(LibraryError::Call { call }) } else { Ok(()) }
}

fn path_text(path: &Path) -> Result<CString, LibraryError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| LibraryError::Nul)
}
