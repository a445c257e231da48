"""Groups of commands, one file a group; `keeper.cli` puts them together."""
