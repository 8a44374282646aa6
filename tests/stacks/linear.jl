# Linear algebra and shared memory of Julia's own library.
using LinearAlgebra, Mmap, SparseArrays

println(VERSION)
hilbert = [1.0 / (i + j - 1) for i in 1:8, j in 1:8]
println(sum(svdvals(hilbert)))
a = [sin(i * j) + (i == j) * 20 for i in 1:200, j in 1:200]
println(norm(a * inv(a) - I) < 1e-9, " ", norm(a \ (a * ones(200)) .- 1) < 1e-9, " ", sum(a * a) ≈ sum(a * a'; dims = 1) |> sum)
println(eigvals(Symmetric(hilbert))[end])
println(sum(sparse([1, 2, 3], [1, 2, 3], [1.5, 2.5, 3.5]) \ [1.0, 1.0, 1.0]))
shared = Mmap.mmap(open("/dev/shm/septum-linear", "w+"), Vector{Float64}, 1000)
shared .= 1:1000
println(sum(Mmap.mmap(open("/dev/shm/septum-linear"), Vector{Float64}, 1000)))
rm("/dev/shm/septum-linear")
