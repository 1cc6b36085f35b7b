//! Where a source is, for a source that can go back there.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// Where a split of a source is: what it needs to go on with the record behind the last that it has read. A number of
/// records, an offset, or whatever else has serde's traits.
///
/// # Examples
/// ```
/// use waterwheel_engine::SourcePosition;
///
/// let position = SourcePosition::new(&("part-7", 4711u64))?;
/// assert_eq!(position.get::<(String, u64)>()?, ("part-7".to_string(), 4711));
/// # Ok::<(), waterwheel_engine::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition(Vec<u8>);

impl SourcePosition {
    /// A position from what describes it.
    ///
    /// # Errors
    /// It can not be encoded.
    pub fn new<P: Serialize + ?Sized>(position: &P) -> Result<Self> {
        let bytes = postcard::to_stdvec(position);
        bytes
            .map(SourcePosition)
            .map_err(|error| Error::operator("a position can not be encoded").caused_by(error))
    }

    /// What describes the position.
    ///
    /// # Errors
    /// It is of another type.
    pub fn get<P: DeserializeOwned>(&self) -> Result<P> {
        match postcard::take_from_bytes(&self.0) {
            Ok((position, [])) => Ok(position),
            outcome => {
                let expected = std::any::type_name::<P>();
                let error =
                    Error::config(format!("its position in the checkpoint can not be read as {expected}"));
                Err(match outcome {
                    Ok((_, rest)) => error.caused_by(format!("{} bytes are left over", rest.len())),
                    Err(cause) => error.caused_by(cause),
                })
            }
        }
    }
}
