# The compiler itself runs in the partition, and what it makes.
set -e
mkdir -p "${STORY_DIRECTORY:-.}" && cd "${STORY_DIRECTORY:-.}"
cat > main.c <<'C'
#include <math.h>
#include <pthread.h>
#include <stdio.h>
static void *work(void *sum) { for (int i = 1; i < 1000; i++) *(double *)sum += 1.0 / i; return 0; }
int main(void) { double sum = 0; pthread_t t; pthread_create(&t, 0, work, &sum); pthread_join(t, 0); printf("%.12f %.6f\n", sum, sin(sum)); }
C
cat > main.cc <<'C'
#include <iostream>
#include <map>
#include <string>
int main() { std::map<std::string, int> words; for (std::string w; std::cin >> w;) words[w]++; for (auto &[w, n] : words) std::cout << w << ' ' << n << '\n'; }
C
gcc -O2 -Wall -o one main.c -lm -pthread
./one
g++ -O1 -std=c++17 -o two main.cc
echo "a b a c b a" | ./two
gcc -shared -fPIC -o libone.so -x c - <<'C'
int answer(void) { return 42; }
C
python3 -c 'import ctypes; print(ctypes.CDLL("./libone.so").answer())'
gcc -w -x c - -o three 2> /dev/null <<'C' || echo "refused"
int main(void) { return nothing; }
C
