//! Flite through its C interface (2.x): text in, samples out.
//!
//! It refuses voices that Debian's package does not bring, and it is not for two
//! threads at once: flite keeps global state, so a value of it stays on its thread.
#![allow(unsafe_code, reason = "flite is a C library; each block says why it is sound")]

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::marker::PhantomData;

use super::LibraryError;
use super::foreign::{ForeignLibrary, Package};

/// Voices of the package.
pub(in crate::services::speech) const VOICES: [&str; 5] = ["slt", "rms", "awb", "kal", "kal16"];

const PACKAGE: Package = Package { name: "the speech synthesiser flite", package: "libflite1" };
const LIBRARY_NAMES: [&str; 2] = ["libflite.so.1", "libflite.so"];

/// A `cst_wave`. Its layout has been the same in all 2.x versions.
#[repr(C)]
struct Wave {
    kind: *const c_char,
    sample_rate: c_int,
    samples_count: c_int,
    channels_count: c_int,
    samples: *mut i16,
}

type Init = unsafe extern "C" fn() -> c_int;
type TextToWave = unsafe extern "C" fn(*const c_char, *mut c_void) -> *mut Wave;
type Resample = unsafe extern "C" fn(*mut Wave, c_int);
type DeleteWave = unsafe extern "C" fn(*mut Wave);
type RegisterVoice = unsafe extern "C" fn(*const c_char) -> *mut c_void;

/// The library with the voices used so far.
pub(in crate::services::speech) struct Flite {
    text_to_wave: TextToWave,
    resample: Resample,
    delete_wave: DeleteWave,
    voices: BTreeMap<&'static str, *mut c_void>,
    /// Never unloaded: voices and functions point into them.
    libraries: Vec<ForeignLibrary>,
    _on_one_thread: PhantomData<*mut ()>,
}

impl Flite {
    /// Loads the library. Voices are loaded when first used.
    pub(in crate::services::speech) fn load() -> Result<Self, LibraryError> {
        let library = PACKAGE.open(&LIBRARY_NAMES)?;
        // SAFETY: the types are those of flite.h 2.x; the library stays loaded in
        // `libraries` as long as the functions are used.
        let (init, text_to_wave, resample, delete_wave) = unsafe {
            (
                library.function::<Init>("flite_init")?,
                library.function::<TextToWave>("flite_text_to_wave")?,
                library.function::<Resample>("cst_wave_resample")?,
                library.function::<DeleteWave>("delete_wave")?,
            )
        };
        // SAFETY: takes nothing, may be called any number of times.
        unsafe { init() };
        let libraries = vec![library];
        let voices = BTreeMap::new();
        Ok(Self {
            text_to_wave,
            resample,
            delete_wave,
            voices,
            libraries,
            _on_one_thread: PhantomData,
        })
    }

    /// Speaks `text`. Empty for a text without anything to say.
    pub(in crate::services::speech) fn speak(
        &mut self,
        text: &str,
        voice: &'static str,
        rate_hz: u32,
    ) -> Result<Vec<i16>, LibraryError> {
        let text = CString::new(text).map_err(|_| LibraryError::Nul)?;
        let rate_hz = c_int::try_from(rate_hz).unwrap_or(c_int::MAX);
        let voice = self.voice(voice)?;
        // SAFETY: `text` is NUL-terminated and outlives the call, `voice` came out of
        // the voice's register function; the result is a wave of ours or null.
        let wave = unsafe { (self.text_to_wave)(text.as_ptr(), voice) };
        if wave.is_null() {
            return Err(LibraryError::Call { call: "flite_text_to_wave" });
        }
        // SAFETY: `wave` is a live wave that nobody else knows; resampling keeps it so.
        unsafe {
            if (*wave).sample_rate != rate_hz {
                (self.resample)(wave, rate_hz);
            }
        }
        // SAFETY: `samples` holds `samples_count` samples as long as the wave lives;
        // an empty wave may have none.
        let samples = unsafe {
            let count = usize::try_from((*wave).samples_count).unwrap_or(0);
            if count == 0 || (*wave).samples.is_null() {
                Vec::new()
            } else {
                std::slice::from_raw_parts((*wave).samples, count).to_vec()
            }
        };
        // SAFETY: the wave is ours and not used after this.
        unsafe { (self.delete_wave)(wave) };
        Ok(samples)
    }

    fn voice(&mut self, name: &'static str) -> Result<*mut c_void, LibraryError> {
        if let Some(voice) = self.voices.get(name) {
            return Ok(*voice);
        }
        let file = format!("libflite_cmu_us_{name}.so");
        let library = PACKAGE.open(&[&format!("{file}.1"), &file])?;
        // SAFETY: each voice library has this function with this type.
        let register: RegisterVoice = unsafe { library.function(register_name(name))? };
        // SAFETY: the argument is a folder for voice data; null means the built-in data.
        let voice = unsafe { register(std::ptr::null()) };
        if voice.is_null() {
            return Err(LibraryError::Call { call: register_name(name) });
        }
        self.libraries.push(library);
        self.voices.insert(name, voice);
        Ok(voice)
    }
}

fn register_name(voice: &'static str) -> &'static str {
    match voice {
        "rms" => "register_cmu_us_rms",
        "awb" => "register_cmu_us_awb",
        "kal" => "register_cmu_us_kal",
        "kal16" => "register_cmu_us_kal16",
        _ => "register_cmu_us_slt",
    }
}
