"""Making data: spike trains from sound, synthetic speech, downloads of published sets."""
