"""Four languages, one buffer: Python loads, C++ and Rust change the array where it is, Julia maps it and sums up."""
import ctypes
import mmap
import os
import subprocess
import sys

import numpy as np

julia, directory = sys.argv[1], os.getcwd()
path = "/dev/shm/septum-languages"
flowers = np.loadtxt("iris.csv", delimiter=",", usecols=(0, 1, 2, 3))

descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
os.ftruncate(descriptor, flowers.nbytes)
memory = mmap.mmap(descriptor, flowers.nbytes)
os.close(descriptor)
shared = np.frombuffer(memory).reshape(flowers.shape)
shared[:] = flowers
print("Python:", shared.shape, float(shared.sum()).hex())

pointer = shared.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
doubles = (ctypes.POINTER(ctypes.c_double), ctypes.c_size_t, ctypes.c_size_t)

cpp = ctypes.CDLL(os.path.join(directory, "columns_centred"))
cpp.centre.argtypes = doubles
cpp.centre.restype = ctypes.c_int
cpp.centre(pointer, *shared.shape)
print("C++:", float(np.abs(shared.mean(axis=0)).max()) < 1e-12, float(abs(shared).sum()).hex())
print("C++ refuses:", cpp.centre(pointer, 0, 4))

rust = ctypes.CDLL(os.path.join(directory, "columns_scaled"))
rust.scale.argtypes = doubles
rust.scale.restype = ctypes.c_double
print("Rust:", rust.scale(pointer, *shared.shape).hex(), float(shared.std(axis=0).sum()).hex())

script = os.path.join(directory, "languages.jl")
done = subprocess.run([julia, "--startup-file=no", script, path, *map(str, shared.shape)], capture_output=True, text=True)
print("Julia:", done.returncode, done.stdout.strip(), done.stderr.strip())
print("Python sees what Julia wrote:", float(shared[0, 0]))
os.remove(path)
