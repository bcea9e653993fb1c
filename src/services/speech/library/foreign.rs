//! A library of a Debian package, opened by name, and the functions in it.
//!
//! It refuses to know what the functions do: their types are the caller's promise.
#![allow(unsafe_code, reason = "opens C libraries; each block says why it is sound")]

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use super::LibraryError;

/// Where a library comes from, for who has to install it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Package {
    /// What it is, as in "the speech synthesiser flite".
    pub(super) name: &'static str,
    /// Its Debian package.
    pub(super) package: &'static str,
}

impl Package {
    /// Loads the first of `files` that is there.
    pub(super) fn open(self, files: &[&str]) -> Result<ForeignLibrary, LibraryError> {
        let mut reason = String::new();
        for file in files {
            // SAFETY: the libraries of these packages run no code of consequence when
            // loaded. Their symbols are global because flite's voices look for flite's.
            match unsafe { Library::open(Some(*file), RTLD_NOW | RTLD_GLOBAL) } {
                Ok(library) => return Ok(ForeignLibrary { library, package: self }),
                Err(error) => reason = error.to_string(),
            }
        }
        let Self { name, package } = self;
        Err(LibraryError::Missing { name, package, reason })
    }
}

/// A loaded library. What points into it must not outlive it.
pub(super) struct ForeignLibrary {
    library: Library,
    package: Package,
}

impl ForeignLibrary {
    /// # Safety
    /// `F` is the type of the function called `function`, and the library outlives its use.
    pub(super) unsafe fn function<F: Copy>(
        &self,
        function: &'static str,
    ) -> Result<F, LibraryError> {
        let Package { name, package } = self.package;
        // SAFETY: as the caller promises.
        match unsafe { self.library.get::<F>(function.as_bytes()) } {
            Ok(symbol) => Ok(*symbol),
            Err(_) => Err(LibraryError::Function { name, package, function }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_is_named_with_its_package() {
        let package = Package { name: "the abacus", package: "libabacus3" };
        let error = package.open(&["libno-such-library.so.1"]).err().unwrap().to_string();
        assert!(error.starts_with("the abacus cannot be loaded"), "{error}");
        assert!(error.ends_with("install the Debian package libabacus3"), "{error}");
    }
}
