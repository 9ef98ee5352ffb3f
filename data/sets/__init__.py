"""From vectors to files and back: saving, publishing, loading, reuse, prediction of new rows."""
