"""What the integration tests share: TAP output, processes, raw connections, transcripts."""
