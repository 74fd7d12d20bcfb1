//! Sessions in real Chromium, on a page of our own that behaves as WhatsApp Web does. Each test has a page, a profile
//! directory and a browser of its own; they run as root, so without Chromium's sandbox.

mod house;

mod hears;
mod hostile;
mod links;
mod sends;
mod survives;
