"""How programs reach the broker: over its Unix socket or over ZeroMQ, synchronously, by asyncio, or by JSON lines."""
