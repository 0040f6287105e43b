"""What the authors of the papers do: librosa 0.11, function by function. The tests and benchmarks compare with it."""

import librosa
import numpy as np
import scipy.stats

MUSIC_ROLE_SR = 22_050


def music_role_97(y: np.ndarray, *, corrected: bool = False) -> np.ndarray:
    """The 97 features of music role classification in the order of the published tables, before they are rounded."""
    sr = MUSIC_ROLE_SR
    level, bright = (y, y) if corrected else (y + np.float32(0.0001), y + np.float32(0.01))
    values = [np.mean(abs(y)), np.std(y), scipy.stats.skew(abs(y).astype(float)), scipy.stats.kurtosis(y.astype(float))]
    for series in (librosa.feature.zero_crossing_rate(level)[0], librosa.feature.rms(y=level)[0]):
        values += [np.mean(series), np.std(series)]
    values += [librosa.feature.tempo(y=y, sr=sr)[0]]
    for series in (
        librosa.feature.spectral_centroid(y=bright, sr=sr)[0],
        *(librosa.feature.spectral_bandwidth(y=bright, sr=sr, p=p)[0] for p in ((2, 3, 4) if corrected else (2, 3, 3))),
    ):
        values += [np.mean(series), np.std(series)]
    for series in (
        librosa.feature.spectral_contrast(y=y, sr=sr),
        librosa.feature.spectral_rolloff(y=bright, sr=sr),
        librosa.feature.mfcc(y=y, sr=sr, n_mfcc=20),
        librosa.feature.chroma_stft(y=y, sr=sr, hop_length=1024),
    ):
        values += [*np.mean(series, axis=1), *np.std(series, axis=1)]
    return np.array(values, np.float64)


def log_mel_96_12k(y: np.ndarray) -> np.ndarray:
    """The log-mel spectrogram of 96 bands at 12 kHz."""
    return librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=12_000, n_fft=512, hop_length=256, n_mels=96))


def fma_518(y: np.ndarray) -> np.ndarray:
    """The statistics that FMA publishes of a recording at 44.1 kHz, by feature, statistic and number."""
    stft = np.abs(librosa.stft(y, n_fft=2048, hop_length=512))
    cqt = np.abs(librosa.cqt(y, sr=44_100, hop_length=512, bins_per_octave=12, n_bins=84, tuning=None))
    cens = librosa.feature.chroma_cens(C=cqt, n_chroma=12, n_octaves=7, bins_per_octave=12)
    mel = librosa.feature.melspectrogram(sr=44_100, S=stft**2)
    series = {
        "chroma_cens": cens,
        "chroma_cqt": librosa.feature.chroma_cqt(C=cqt, n_chroma=12, n_octaves=7, bins_per_octave=12),
        "chroma_stft": librosa.feature.chroma_stft(S=stft**2, n_chroma=12),
        "mfcc": librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20),
        "rmse": np.sqrt(np.mean(stft**2, axis=0, keepdims=True)),
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(S=stft),
        "spectral_centroid": librosa.feature.spectral_centroid(S=stft),
        "spectral_contrast": librosa.feature.spectral_contrast(S=stft, n_bands=6),
        "spectral_rolloff": librosa.feature.spectral_rolloff(S=stft),
        "tonnetz": librosa.feature.tonnetz(chroma=cens),
        "zcr": librosa.feature.zero_crossing_rate(y, frame_length=2048, hop_length=512),
    }
    values = []
    for x in series.values():
        x = x.astype(np.float64)
        values += [scipy.stats.kurtosis(x, axis=1), x.max(axis=1), x.mean(axis=1), np.median(x, axis=1)]
        values += [x.min(axis=1), scipy.stats.skew(x, axis=1), x.std(axis=1)]
    return np.concatenate(values)
