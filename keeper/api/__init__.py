"""The HTTP and WebSocket interface: reads the ledger, follows the bus, and hands commands to the keeper."""
