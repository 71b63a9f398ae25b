/* A plugin of QEMU's that counts the instructions of a program of one thread. The interface, of version 1, is declared here:
   Debian's packages bring the emulators and not their header. */
#include <stdint.h>
#include <stdio.h>

typedef uint64_t id_t_;
struct tb;
void qemu_plugin_register_vcpu_tb_trans_cb(id_t_ id, void (*then)(id_t_, struct tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct tb *tb, int operation, void *to, uint64_t add);
void qemu_plugin_register_atexit_cb(id_t_ id, void (*then)(id_t_, void *), void *with);
size_t qemu_plugin_tb_n_insns(const struct tb *tb);
void qemu_plugin_outs(const char *text);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
static uint64_t instructions;

static void translated(id_t_ id, struct tb *tb) {
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, 0 /* add */, &instructions, qemu_plugin_tb_n_insns(tb));
}

static void ended(id_t_ id, void *with) {
    char text[48];
    (void)id, (void)with;
    snprintf(text, sizeof text, "instructions: %llu\n", (unsigned long long)instructions);
    qemu_plugin_outs(text);
}

__attribute__((visibility("default"))) int qemu_plugin_install(id_t_ id, const void *info, int count, char **arguments) {
    (void)info, (void)count, (void)arguments;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
