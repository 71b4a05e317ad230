//! One exchange with the outside, as far as every room that speaks HTTP shares it.
//!
//! What holds: an answer is read up to a limit and no further, whatever is sent; how long that may take is the caller's
//! deadline over the whole exchange.

use reqwest::Response;

/// Why an answer was not read to its end.
#[derive(Debug)]
pub enum Unread {
    /// The connection failed.
    Lost(reqwest::Error),
    /// It is larger than it may be.
    TooLarge,
}

/// The body of an answer, of at most so many bytes.
///
/// # Errors
/// The connection fails, or there is more.
pub async fn body(response: Response, largest: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    read(response, largest, |chunk| body.extend_from_slice(chunk)).await?;
    Ok(body)
}

/// Hands on the body of an answer piece by piece, of at most so many bytes.
///
/// # Errors
/// The connection fails, or there is more.
pub async fn read(
    mut response: Response,
    largest: usize,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Unread> {
    let mut left = largest;
    while let Some(chunk) = response.chunk().await.map_err(Unread::Lost)? {
        left = left.checked_sub(chunk.len()).ok_or(Unread::TooLarge)?;
        take(&chunk);
    }
    Ok(())
}
