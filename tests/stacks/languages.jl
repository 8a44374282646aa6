# Maps the array that Python made, and prints the correlations of its columns; leaves a mark in the first place.
using Mmap, Statistics

rows, columns = parse(Int, ARGS[2]), parse(Int, ARGS[3])
# Rows of C are columns here.
shared = Mmap.mmap(open(ARGS[1], "r+"), Matrix{Float64}, (columns, rows))
println(join(round.(vec(cor(shared; dims = 2)); digits = 9), " "))
shared[1, 1] = 42.5
Mmap.sync!(shared)
