"""Who is asking: sessions, passwords, the second factor, and limits on guessing."""
