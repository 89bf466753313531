"""The WaveSpeedAI v3 API: its contract as types (`wire`) and our client of it (`client`)."""
