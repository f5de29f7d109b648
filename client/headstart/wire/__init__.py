"""How calls reach the server: methods, channels, and the two drivers (blocking and asyncio) of one set of programs."""
