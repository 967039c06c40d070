/* The C guest: shows its arguments and its environment, then copies the file
 * in.txt to out.txt in the working directory, both by relative path.
 *
 * A missing in.txt is not an error (a step may be granted no file at all); a
 * file that is there but cannot be copied ends the step with 1. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static int compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void show_environment(void)
{
    size_t count = 0;
    while (environ && environ[count])
        count++;
    if (count)
        qsort(environ, count, sizeof *environ, compare);
    for (size_t index = 0; index < count; index++)
        printf("env %s\n", environ[index]);
}

static int copy_file(const char *from, const char *to)
{
    FILE *source = fopen(from, "rb");
    if (!source) {
        printf("no %s: %s\n", from, strerror(errno));
        return 0;
    }
    FILE *target = fopen(to, "wb");
    if (!target) {
        fprintf(stderr, "hello-c: %s: %s\n", to, strerror(errno));
        fclose(source);
        return 1;
    }
    char block[4096];
    size_t length, total = 0;
    int failed = 0;
    while ((length = fread(block, 1, sizeof block, source)) > 0) {
        failed |= fwrite(block, 1, length, target) != length;
        total += length;
    }
    failed |= ferror(source) != 0;
    fclose(source);
    failed |= fclose(target) != 0;
    if (failed)
        fprintf(stderr, "hello-c: %s was not copied to %s\n", from, to);
    else
        printf("copied %zu bytes\n", total);
    return failed;
}

int main(int argc, char **argv)
{
    for (int index = 1; index < argc; index++)
        printf("arg %d: %s\n", index, argv[index]);
    show_environment();
    return copy_file("in.txt", "out.txt");
}
