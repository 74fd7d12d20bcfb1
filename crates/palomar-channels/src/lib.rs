//! Palomar.
