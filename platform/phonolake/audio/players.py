"""MIME types of the containers that browsers can play; the others must be decoded first."""

MIME = {
    "MP3": "audio/mpeg",
    "OGG": "audio/ogg",
    "WAV": "audio/wav",
    "WAVEX": "audio/wav",
    "FLAC": "audio/flac",
    "MP4": "audio/mp4",
    "MOV": "audio/mp4",
    "AAC": "audio/aac",
    "MATROSKA": "audio/webm",
}
