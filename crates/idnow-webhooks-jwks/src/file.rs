use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::error::FetchError;

pub(crate) async fn read(path: &Path, max_bytes: usize) -> Result<Vec<u8>, FetchError> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_blocking(&owned, max_bytes));
    match read.await {
        Ok(Ok(body)) if body.len() > max_bytes => {
            Err(FetchError::TooLarge { location: path.display().to_string(), limit: max_bytes })
        }
        Ok(Ok(body)) => Ok(body),
        Ok(Err(source)) => Err(FetchError::File { path: path.to_owned(), source }),
        Err(_) => Err(FetchError::Panicked),
    }
}

/// At most one byte more than `max_bytes`.
fn read_blocking(path: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
    // Opening a named pipe would block this thread until somebody writes to it.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut body = Vec::new();
    File::open(path)?.take((max_bytes as u64).saturating_add(1)).read_to_end(&mut body)?;
    Ok(body)
}
