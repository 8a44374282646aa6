// statfs, fstatfs, sync and its kind: about the file system, and asking it to be quick.
#include "../story.h"
#include <sys/statfs.h>
#include <sys/vfs.h>

int main(void) {
    enter_story_directory();
    struct statfs by_name, by_file;
    int file = new_file("file", "text");
    SHOW(statfs("file", &by_name));
    SHOW(fstatfs(file, &by_file));
    CHECK(by_name.f_type == by_file.f_type && by_name.f_bsize == by_file.f_bsize && by_name.f_bsize > 0);
    CHECK(by_name.f_blocks >= by_name.f_bfree && by_name.f_bfree >= by_name.f_bavail);
    SHOW(by_name.f_namelen);
    SHOW(statfs("/proc", &by_name));
    SHOW(by_name.f_type == 0x9fa0);
    SHOW(statfs("nothing", &by_name));
    SHOW(statfs("file/x", &by_name));
    SHOW(statfs("", &by_name));
    SHOW(statfs(NULL, &by_name));
    SHOW(statfs("file", NOWHERE));
    SHOW(fstatfs(-1, &by_file));
    SHOW(fstatfs(file, NOWHERE));
    SHOW(fstatfs(open("file", O_PATH), &by_file));
    int ends[2];
    pipe(ends);
    SHOW(fstatfs(ends[0], &by_file));
    SHOW(by_file.f_type == 0x50495045);

    SHOW(fsync(file));
    SHOW(fdatasync(file));
    SHOW(syncfs(file));
    SHOW(fsync(open("file", O_RDONLY)));
    SHOW(fsync(open(".", O_RDONLY)));
    SHOW(fsync(-1));
    SHOW(fdatasync(-1));
    SHOW(syncfs(-1));
    SHOW(fsync(open("file", O_PATH)));
    SHOW(fsync(ends[0]));
    SHOW(fdatasync(ends[1]));
    SHOW(fsync(open("/dev/null", O_RDWR)));
    SHOW(sync_file_range(file, 0, 4, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(file, 0, 4, 0x80));
    SHOW(sync_file_range(file, -1, 4, 0));
    SHOW(sync_file_range(file, 0, -1, 0));
    SHOW(sync_file_range(-1, 0, 4, 0));
    SHOW(sync_file_range(ends[0], 0, 4, 0));
    SHOW(posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL));
    SHOW(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0);
    SHOW(posix_fadvise(file, 0, 0, 99) == EINVAL);
    SHOW(posix_fadvise(file, 0, -1, POSIX_FADV_NORMAL) == EINVAL);
    SHOW(posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL) == EBADF);
    SHOW(posix_fadvise(ends[0], 0, 0, POSIX_FADV_NORMAL) == ESPIPE);
    SHOW(readahead(file, 0, 4096));
    SHOW(readahead(-1, 0, 4096));
    SHOW(readahead(open("file", O_WRONLY), 0, 4096));
    SHOW(readahead(ends[0], 0, 4096));
    sync();
    return 0;
}
