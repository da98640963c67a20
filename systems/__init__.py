"""Systems: one folder a system. A card says what it is; a module, container or folder makes the sound."""
