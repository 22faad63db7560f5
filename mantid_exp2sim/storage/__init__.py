"""Write files and folders that appear whole or not at all, lock them, read TOML."""
