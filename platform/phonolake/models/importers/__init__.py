"""Read published weights from their original formats; nothing in them is ever executed."""
