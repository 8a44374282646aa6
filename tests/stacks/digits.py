"""A small network learns scikit-learn's digits, in NumPy alone. Prints each loss exactly."""
import os
import sys

import numpy as np
import sklearn

PASSES = 30
RATE = 0.5

table = np.loadtxt(os.path.join(os.path.dirname(sklearn.__file__), "datasets/data/digits.csv.gz"), delimiter=",")
inputs, digits = table[:, :-1] / 16.0, table[:, -1].astype(int)
rows = np.arange(len(digits))

random = np.random.default_rng(7)
first = random.standard_normal((64, 32)) * 0.1
second = random.standard_normal((32, 10)) * 0.1
losses = []
for number in range(PASSES):
    hidden = np.maximum(inputs @ first, 0)
    output = hidden @ second
    output -= output.max(axis=1, keepdims=True)
    chances = np.exp(output)
    chances /= chances.sum(axis=1, keepdims=True)
    losses.append(float(-np.log(chances[rows, digits]).mean()))
    print(number, losses[-1].hex())
    slope = chances
    slope[rows, digits] -= 1
    slope /= len(digits)
    inner = (slope @ second.T) * (hidden > 0)
    second -= RATE * (hidden.T @ slope)
    first -= RATE * (inputs.T @ inner)

right = (np.maximum(inputs @ first, 0) @ second).argmax(axis=1) == digits
print("right", int(right.sum()), "of", len(digits))
print("ok" if losses[-1] < losses[0] / 2 else "FAIL", "the loss falls")
np.savez("/tmp/septum-digits.npz", first=first, second=second)
with np.load("/tmp/septum-digits.npz") as saved:
    print("ok" if (saved["first"] == first).all() else "FAIL", "what was saved is read back")
os.remove("/tmp/septum-digits.npz")
mapped = np.lib.format.open_memmap("/tmp/septum-digits.npy", mode="w+", dtype="f8", shape=(512, 512))
mapped[:] = np.arange(512)
mapped.flush()
print("ok" if np.load("/tmp/septum-digits.npy", mmap_mode="r").sum() == 511 * 512 / 2 * 512 else "FAIL", "mapped arrays")
os.remove("/tmp/septum-digits.npy")
sys.stdout.flush()
