//! The program in the hands of an operator: settings, commands, the daemon's life, what is logged, shown and measured, and
//! what is packaged.

mod commands;
mod configuration;
mod daemon;
mod doctor;
mod events;
mod first_mistakes;
mod found_settings;
mod help;
mod hold;
mod init;
mod json;
mod monitoring;
mod monitoring_docs;
mod narrow;
mod packaging;
mod reload;
mod repair;
mod restore;
mod resume;
mod sandbox;
mod secrecy;
mod standing;
mod status;
pub mod systemd;
mod terminal_text;
mod unread_log;
