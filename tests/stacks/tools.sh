# git, tar, xz, find, xargs, perl, make and a shell's own jobs, on one small repository.
set -e
mkdir -p "${STORY_DIRECTORY:-.}" && cd "${STORY_DIRECTORY:-.}"
export HOME="$PWD" GIT_AUTHOR_DATE="2026-01-01T00:00:00Z" GIT_COMMITTER_DATE="2026-01-01T00:00:00Z"
git init -q --initial-branch=main first
cd first
git config user.name Tester
git config user.email tester@example.org
for number in 1 2 3; do
    seq "$number" 100 > "file$number"
    git add .
    git commit -q -m "commit $number"
done
git log --format='%h %s'
git checkout -q -b side HEAD~1
echo more >> file1
git commit -q -a -m "on the side"
git checkout -q main
git merge -q -m merged side
cd ..
git clone -q first second
cd second
git log --format=%s --graph
git fsck 2>&1
git gc -q
git diff --stat HEAD~1
git grep -c 7 HEAD -- file1
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cJf ../files.tar.xz file1 file2 file3
cd ..
xz -t files.tar.xz && xz -dc files.tar.xz | tar -tvf -
find first second -name 'file*' -not -path '*/.git/*' -print0 | sort -z | xargs -0 -n 1 -P 2 sha256sum | sort
perl -ne '$sum += $_; END { print "$sum\n" }' first/file1 || true
perl -MSocket -e 'socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0); if (my $child = fork) { close $b; print scalar <$a>; waitpid $child, 0; print $? >> 8, "\n" } else { print $b "from perl\n"; exit 3 }'
printf 'all: one two\n\tcat one two\none two:\n\techo $@ > $@\n' > Makefile
make -s -j2
bash -c 'set -m; sleep 0.05 & fg; sleep 9 & kill %1; wait %1; echo $?; (exit 4) | cat; echo "${PIPESTATUS[0]}"' 2>&1
