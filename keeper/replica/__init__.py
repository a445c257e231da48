"""An offline mainnet: protocols, traffic, block builder and relay on a local anvil."""
