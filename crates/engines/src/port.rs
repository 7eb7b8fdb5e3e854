//! Free ports that stay free for us.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::error::EngineError;
use crate::jars::cache;

/// Below the ports that systems hand out by themselves: else an outgoing connection could take the port of an engine
/// that is just starting again.
const FROM: u16 = 10_000;
const TO: u16 = 30_000;

/// A port that no other engine of this target folder gets while this is held.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

impl Port {
    /// A port that is free on 127.0.0.1, or on so many addresses from there on.
    pub(crate) fn free(addresses: u8) -> Result<Self, EngineError> {
        let folder = cache().join("ports");
        std::fs::create_dir_all(&folder).map_err(EngineError::doing("making", &folder))?;
        // Processes begin at different places, so that they seldom try the same.
        let first = std::process::id().wrapping_mul(7919) % u32::from(TO - FROM);
        let numbers = (FROM..TO).cycle().skip(usize::try_from(first).unwrap_or(0)).take(usize::from(TO - FROM));
        for number in numbers {
            if let Some(lock) = lock(&folder, number)?
                && (1..=addresses).all(|last| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), number)).is_ok())
            {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(EngineError::Port { from: FROM, to: TO, addresses })
    }
}

fn lock(folder: &Path, number: u16) -> Result<Option<File>, EngineError> {
    let path = folder.join(number.to_string());
    let file = File::create(&path).map_err(EngineError::doing("making", &path))?;
    Ok(file.try_lock().is_ok().then_some(file))
}
