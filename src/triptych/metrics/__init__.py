"""Numbers about sets of images, from features alone: nothing here sees a model or an image.

Notation of the package: N images, D features; real X (N, D), generated Y (M, D).
"""
