//! What a lab is started with.

use crate::forge_program::ForgeProgram;

/// What a lab is started with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Its forge.
    pub forge: ForgeProgram,
    /// Somebody else's emulator; it has one of its own without.
    pub emulator: Option<SharedEmulator>,
}

/// An emulator that several labs use.
#[derive(Debug, Clone)]
pub struct SharedEmulator {
    /// Where it answers.
    pub endpoint: String,
    /// The account of this lab alone, 12 digits.
    pub account: String,
}
