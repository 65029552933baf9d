//! Where the things lie that a configuration names or leaves to be found.
//!
//! In: a [`Config`] and the places to look in. Out: paths that exist, or an error with every place
//! that was tried. Order: the setting, the package's place, a source checkout.
//! Invariant: an installed binary (under /usr) never takes anything from a checkout or from the
//! current folder, so that nobody can slip it a library; a setting is never silently replaced by
//! another place.

use std::path::{Path, PathBuf};

use super::problem::ConfigError;
use super::{Config, Origin};

const PACKAGE_LIBRARY: &str = "/usr/lib/deepid-edge/libLiteRt.so";
const PACKAGE_MODELS: &str = "/usr/share/deepid-edge/models";
/// Models that the administrator added. They come after the package's, so that none is shadowed.
const LOCAL_MODELS: &str = "/usr/local/share/deepid-edge/models";
/// How far above the executable or the current folder a checkout is looked for.
const PARENTS_MAX: usize = 6;

impl Config {
    /// The folders that model cards and models are looked for in, in order; those that exist.
    ///
    /// # Errors
    /// [`ConfigError::NamedFile`] when `models.directory` is no folder, [`ConfigError::Nowhere`]
    /// when there is none at all.
    pub fn model_folders(&self) -> Result<Vec<PathBuf>, ConfigError> {
        if let Some(folder) = &self.models.directory {
            return if folder.is_dir() {
                Ok(vec![folder.clone()])
            } else {
                Err(self.named(
                    "models.directory",
                    folder,
                    "is no folder that can be read; correct the path, or leave the key unset",
                ))
            };
        }
        let mut candidates = vec![PathBuf::from(PACKAGE_MODELS), PathBuf::from(LOCAL_MODELS)];
        if let Some(checkout) = checkout() {
            candidates.extend([checkout.join("models"), checkout.join("assets/models")]);
        }
        let folders: Vec<_> = candidates.iter().filter(|path| path.is_dir()).cloned().collect();
        if folders.is_empty() {
            return Err(ConfigError::Nowhere {
                what: "folder of model cards".to_owned(),
                looked: candidates,
                remedy: "install the package, run 'make assets' in a source checkout, or set models.directory",
            });
        }
        Ok(folders)
    }

    /// The folder that a model is added to: the configured one, a source checkout's for what others
    /// made, or the administrator's own.
    #[must_use]
    pub fn folder_for_models(&self) -> PathBuf {
        let checkout = || checkout().map(|checkout| checkout.join("assets/models"));
        self.models.directory.clone().or_else(checkout).unwrap_or_else(|| LOCAL_MODELS.into())
    }

    /// The LiteRT library.
    ///
    /// # Errors
    /// [`ConfigError::NamedFile`] when `models.library` is no file, [`ConfigError::Nowhere`] when
    /// there is none at all.
    pub fn library_path(&self) -> Result<PathBuf, ConfigError> {
        if let Some(library) = &self.models.library {
            return if library.is_file() {
                Ok(library.clone())
            } else {
                Err(self.named(
                    "models.library",
                    library,
                    "is no file that can be read; correct the path, or leave the key unset",
                ))
            };
        }
        let mut candidates = vec![PathBuf::from(PACKAGE_LIBRARY)];
        if let Some(checkout) = checkout() {
            let folder = checkout.join("assets/lib").join(std::env::consts::ARCH);
            candidates.push(folder.join("libLiteRt.so"));
        }
        candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| ConfigError::Nowhere {
            what: "LiteRT library (libLiteRt.so)".to_owned(),
            looked: candidates.clone(),
            remedy: "install the package, run 'make assets' in a source checkout, or set models.library",
        })
    }

    fn named(&self, key: &'static str, path: &Path, why: &str) -> ConfigError {
        let origin: Origin = self.origin(key);
        ConfigError::NamedFile { origin, key, path: path.to_owned(), why: why.to_owned() }
    }
}

/// The source checkout that the executable was built in, or that the current folder lies in.
#[must_use]
pub fn checkout() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?.canonicalize().ok()?;
    if executable.starts_with("/usr") || executable.starts_with("/opt") {
        return None;
    }
    let is_checkout =
        |folder: &&Path| folder.join("assets.toml").is_file() && folder.join("models").is_dir();
    let above =
        |start: &Path| start.ancestors().take(PARENTS_MAX).find(is_checkout).map(Path::to_owned);
    above(&executable).or_else(|| above(&std::env::current_dir().ok()?))
}
