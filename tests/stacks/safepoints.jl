# Julia's threads meet at safepoints by SIGSEGV, and its stack overflows are exceptions by SIGSEGV too.
total = Threads.Atomic{Int}(0)
Threads.@threads for t in 1:8
    for i in 1:100
        words = [string(k) for k in 1:100]
        Threads.atomic_add!(total, sum(length, words))
        i % 25 == 0 && GC.gc(false)
    end
end
println(Threads.nthreads(), " threads: ", total[])

endless(n) = n + endless(n + 1)
try
    endless(1)
catch thrown
    println(typeof(thrown))
end
try
    [1][2]
catch thrown
    println(typeof(thrown))
end
try
    div(1, 0)
catch thrown
    println(typeof(thrown))
end

println(fetch(@async (sleep(0.02); "a task slept")))
numbers = Channel(2)
Threads.@spawn (foreach(n -> put!(numbers, n), 1:5); close(numbers))
println(sum(collect(numbers)))
println(read(`$(Base.julia_cmd()) -e 'print("a child")'`, String))
