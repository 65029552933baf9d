//! Threads, latest-frame slot, health, signals, systemd.
