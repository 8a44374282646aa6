// System V shared memory: finding segments by key, mapping them in several processes, removing them, and what is an error.
#include "story.h"
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>

int main(void) {
    key_t key = (key_t)(0x53500000 + getpid());
    show("nobody's", shmget(key, 100, 0));
    show("no size", shmget(key, 0, IPC_CREAT | 0600));
    int id = shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0600);
    check("made", id >= 0);
    show("made again", shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0600));
    show("found", shmget(key, 0, 0) == id);
    show("too large", shmget(key, 6000, 0));
    char *one = shmat(id, NULL, 0);
    works("map", (long)one);
    char *two = shmat(id, NULL, SHM_RDONLY);
    works("map to read", (long)two);
    strcpy(one, "seen in both");
    printf("%s, zeros behind: %d\n", two, one[4999]);
    struct shmid_ds status;
    show("status", shmctl(id, IPC_STAT, &status));
    printf("%zu bytes, mode %o, %lu mappings, mine %d\n", status.shm_segsz, status.shm_perm.mode,
           (unsigned long)status.shm_nattch, status.shm_cpid == getpid());
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        strcpy(one, "written by a child");
        _exit(shmdt(one) == 0 && shmdt(two) == 0 ? 3 : 4);
    }
    int wait_status;
    waitpid(child, &wait_status, 0);
    show("child", WEXITSTATUS(wait_status));
    puts(two);
    show("unmap", shmdt(two));
    show("unmap twice", shmdt(two));
    show("odd address", (long)shmat(id, one + 1, 0));
    show("where something is", (long)shmat(id, one, 0));
    show("in its place", (char *)shmat(id, one, SHM_REMAP) == one);
    status.shm_perm.mode = 0640;
    show("change", shmctl(id, IPC_SET, &status));
    show("remove", shmctl(id, IPC_RMID, NULL));
    show("not found any more", shmget(key, 100, 0));
    show("status of one that is mapped", shmctl(id, IPC_STAT, &status));
    printf("mode %o, %lu mappings\n", status.shm_perm.mode, (unsigned long)status.shm_nattch);
    puts(one);
    show("unmap", shmdt(one));
    show("gone with its last mapping", shmctl(id, IPC_STAT, &status));
    show("map what is gone", (long)shmat(id, NULL, 0));
    show("another command", shmctl(id, 99, NULL));
    int nameless = shmget(IPC_PRIVATE, 100, 0600), other = shmget(IPC_PRIVATE, 100, 0600);
    show("each its own", nameless != other);
    shmctl(nameless, IPC_RMID, NULL);
    shmctl(other, IPC_RMID, NULL);
    return 0;
}
