"""Downloads: files over HTTP, archives, and clips that yt-dlp finds."""
