//! Why the state could not be read or changed, and what that means: damage, want of
//! room, or neither.

use std::error::Error;
use std::io::{self, ErrorKind};

/// Why the state could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database failed. Once a write has failed it takes no more until it is
    /// opened anew, which the journal does by itself when it was for want of room.
    #[error("the database failed")]
    Database(#[from] fjall::Error),
    /// The database is being opened anew, since a write had failed: try again.
    #[error("the database is being opened anew")]
    Reopening,
    /// A row is not what this build writes.
    #[error("a stored {0} cannot be read")]
    Row(&'static str),
    /// A file beside the database failed.
    #[error("a file of the database failed")]
    File(#[from] io::Error),
}

impl Fault {
    /// Whether doing the same again may succeed without anybody's help: the disk
    /// was full, or the database is not open yet.
    pub fn may_pass(&self) -> bool {
        match self {
            Fault::Reopening => true,
            Fault::Row(_) => false,
            Fault::Database(error) => means_no_room(error),
            Fault::File(error) => is_no_room(error),
        }
    }

    /// Whether the files are not what they should be, rather than out of reach
    /// for now: a full disk, a lock, a missing permission.
    pub(crate) fn is_damage(&self) -> bool {
        if self.may_pass() || matches!(self, Fault::Database(fjall::Error::Locked)) {
            return false;
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return matches!(
                    error.kind(),
                    ErrorKind::InvalidData | ErrorKind::NotFound | ErrorKind::UnexpectedEof
                );
            }
            cause = error.source();
        }
        true
    }
}

/// Whether a disk that has room makes it go away. What fjall does behind our back
/// tells no cause; nothing that was promised depends on it.
fn means_no_room(error: &fjall::Error) -> bool {
    if matches!(error, fjall::Error::Poisoned) {
        return true;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return is_no_room(error);
        }
        cause = error.source();
    }
    false
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// A fault with its causes.
pub(super) fn in_words(fault: &Fault) -> String {
    let mut words = fault.to_string();
    let mut cause = fault.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_refuses_is_no_damage() {
        for (kind, expected) in [
            (ErrorKind::StorageFull, false),
            (ErrorKind::PermissionDenied, false),
            (ErrorKind::UnexpectedEof, true),
        ] {
            let direct = Fault::File(kind.into());
            assert_eq!(direct.is_damage(), expected, "{direct:?}");
            let nested = Fault::Database(fjall::Error::Io(kind.into()));
            assert_eq!(nested.is_damage(), expected, "{nested:?}");
            let deeper = fjall::Error::Storage(fjall::LsmError::Io(kind.into()));
            let deeper = Fault::Database(deeper);
            assert_eq!(deeper.is_damage(), expected, "{deeper:?}");
        }
        assert!(Fault::Row("watermark").is_damage());
        assert!(!Fault::Database(fjall::Error::Locked).is_damage());
        // A worker of fjall that met a full disk, for one.
        assert!(!Fault::Database(fjall::Error::Poisoned).is_damage());
    }

    #[test]
    fn only_a_want_of_room_is_worth_another_try() {
        for (kind, expected) in [
            (ErrorKind::StorageFull, true),
            (ErrorKind::QuotaExceeded, true),
            (ErrorKind::PermissionDenied, false),
            (ErrorKind::Other, false), // as a disk that fails to sync says
        ] {
            for fault in [
                Fault::File(kind.into()),
                Fault::Database(fjall::Error::Io(kind.into())),
            ] {
                assert_eq!(fault.may_pass(), expected, "{fault:?}");
            }
        }
        assert!(Fault::Reopening.may_pass());
        assert!(!Fault::Row("cursor").may_pass());
    }
}
