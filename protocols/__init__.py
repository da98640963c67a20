"""Protocols: the data model, the media readers, one reader a data set and one TOML a published protocol."""
