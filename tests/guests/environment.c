// The environment: variables of the story are there, can be changed, removed and cleared.
#include "story.h"

extern char **environ;

static void tell(const char *key) {
    const char *value = getenv(key);
    printf("%s %s\n", key, value ? value : "(not set)");
}

int main(void) {
    tell("STORY_ONE");
    tell("STORY_EMPTY");
    tell("STORY_EQUALS");
    tell("STORY_SPACES");
    tell("STORY_ABSENT");
    int count = 0;
    for (char **variable = environ; *variable; variable++)
        count += strncmp(*variable, "STORY_", 6) == 0;
    printf("%d variables of the story\n", count);
    check("a path is set", getenv("PATH") != NULL);
    setenv("STORY_ONE", "changed", 1);
    setenv("STORY_EMPTY", "kept", 0);
    unsetenv("STORY_EQUALS");
    putenv("STORY_PUT=put");
    tell("STORY_ONE");
    tell("STORY_EMPTY");
    tell("STORY_EQUALS");
    tell("STORY_PUT");
    clearenv();
    check("nothing is left", environ == NULL || *environ == NULL);
    return 0;
}
