/* Blocks as fibers: the scheduler, barriers, meetings of warps, shared memory, background copies.
 */
#include "tests/emulation/emulator.h"
#include "tests/emulation/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(EMULATOR_TSAN) /* this file itself is built without the thread sanitizer */
#include <sanitizer/tsan_interface.h>
extern "C" void __tsan_read_range(void *place, unsigned long bytes);
extern "C" void __tsan_write_range(void *place, unsigned long bytes);
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulation
{

enum {
    THREADS_MAX = 1024,
    STACK_BYTES = 128 << 10,
    SHARED_BYTES = 227 << 10, /* of a block on sm_90 */
    STATIC_BYTES = 48 << 10,  /* of them without asking */
    GUARD_BYTES = 64,         /* between shared variables, poisoned for the address sanitizer */
    VARIABLES_MAX = 16,
    COPIES_MAX = 256
};

enum State { READY, AT_BARRIER, AT_MEETING, DONE };

struct PendingCopy {
    void *shared;
    const void *global;
    int bytes, group;
};

struct Fiber {
    void *stack_pointer;
    const void *stack;
    size_t stack_bytes;
    dim3 thread;
    State state;
    void *payload;
    PendingCopy copies[COPIES_MAX];
    int copy_count, group;
    unsigned barriers; /* passed in this block */
#if !defined(__x86_64__)
    ucontext_t context;
#endif
#if defined(__SANITIZE_ADDRESS__)
    void *fake_stack;
#endif
#if defined(EMULATOR_TSAN)
    void *tsan;
#endif
};

struct SharedVariable {
    const char *file;
    int line;
    unsigned char *place;
};

static Fiber fibers[THREADS_MAX];
static Fiber scheduler;
static Fiber *current = &scheduler;
static unsigned thread_count;
static Body body;
static const char *kernel_name = "";
static int planted_bug;
static EmulatorOrder order = EMULATOR_FORWARD;
static uint64_t random_state = 1;
static EmulatorCounts counts;

alignas(128) static unsigned char shared[SHARED_BYTES + STATIC_BYTES];
static size_t shared_used, dynamic_bytes;
static SharedVariable variables[VARIABLES_MAX];
static int variable_count;

dim3 block_index, block_size, grid_size;

static uint64_t random_next() /* xorshift64* */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ULL;
}

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "emulated CUDA: ");
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (current != &scheduler)
        fprintf(stderr, " (%s, block %u,%u,%u, thread %u)", kernel_name, block_index.x,
                block_index.y, block_index.z, current->thread.x);
    fprintf(stderr, "\n");
    fflush(NULL);
    _exit(EMULATOR_FAILED);
}

const dim3 &thread_index()
{
    return current->thread;
}

unsigned lane_index()
{
    return current->thread.x % 32;
}

bool planted(int bug)
{
    return planted_bug == bug;
}

void count_product()
{
    ++counts.products;
}

/* ---------------------------------------------------------------------------------------- fibers
 */

/* What orders accesses for the thread sanitizer: barriers, meetings, and the launch around all; one
 * thread's end does not come before another's start. Barriers and meetings take two tokens in turn:
 * who leaves one late must not seem to follow those who already came to the next. */
static char start_token, end_token, barrier_token[2], warp_token[THREADS_MAX / 32][2];

static void hand_over(void *token)
{
#if defined(EMULATOR_TSAN)
    __tsan_release(token);
#else
    (void)token;
#endif
}

static void take_over(void *token)
{
#if defined(EMULATOR_TSAN)
    __tsan_acquire(token);
#else
    (void)token;
#endif
}

void saw_read(const void *place, size_t bytes)
{
#if defined(EMULATOR_TSAN)
    __tsan_read_range(const_cast<void *>(place), bytes);
#else
    (void)place, (void)bytes;
#endif
}

static void saw_write(void *place, size_t bytes)
{
#if defined(EMULATOR_TSAN)
    __tsan_write_range(place, bytes);
#else
    (void)place, (void)bytes;
#endif
}

#if defined(__x86_64__)
extern "C" void emulation_switch(void **save, void *load);
asm(".text\n"
    ".globl emulation_switch\n"
    ".type emulation_switch,@function\n"
    "emulation_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size emulation_switch,.-emulation_switch\n");
#endif

static void switch_to(Fiber *next)
{
    Fiber *const self = current;
    ++counts.switches;
    current = next;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&self->fake_stack, next->stack, next->stack_bytes);
#endif
#if defined(EMULATOR_TSAN)
    __tsan_switch_to_fiber(next->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__x86_64__)
    emulation_switch(&self->stack_pointer, next->stack_pointer);
#else
    swapcontext(&self->context, &next->context);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
}

/* A fiber lives as long as the process and runs one thread after the other. */
static void fiber_main()
{
#if defined(__SANITIZE_ADDRESS__)
    /* Where this fiber was entered from: the stack of the process. */
    __sanitizer_finish_switch_fiber(NULL, &scheduler.stack, &scheduler.stack_bytes);
#endif
    for (;;) {
        take_over(&start_token);
        body.run(body.arguments);
        current->state = DONE;
        hand_over(&end_token);
        switch_to(&scheduler);
    }
}

static void fiber_make(Fiber *fiber)
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        fail("no memory for a stack");
    fiber->stack = stack;
    fiber->stack_bytes = STACK_BYTES;
#if defined(__x86_64__)
    /* As if fiber_main had just been called: six saved registers, its address, a return address. */
    void **top = reinterpret_cast<void **>(static_cast<unsigned char *>(stack) + STACK_BYTES);
    *--top = NULL;
    *--top = reinterpret_cast<void *>(fiber_main);
    for (int i = 0; i < 6; ++i)
        *--top = NULL;
    fiber->stack_pointer = top;
#else
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, fiber_main, 0);
#endif
#if defined(EMULATOR_TSAN)
    fiber->tsan = __tsan_create_fiber(0);
#endif
}

/* ------------------------------------------------------------------------------------- scheduler
 */

static void run_lanes(unsigned warp)
{
    const unsigned first = warp * 32;
    const unsigned lanes = thread_count - first < 32 ? thread_count - first : 32;
    const unsigned turn = order == EMULATOR_RANDOM ? (unsigned)random_next() % lanes : 0;
    for (unsigned i = 0; i < lanes; ++i) {
        const unsigned lane = order == EMULATOR_REVERSE ? lanes - 1 - i : (i + turn) % lanes;
        if (fibers[first + lane].state == READY)
            switch_to(&fibers[first + lane]);
    }
}

static bool warp_ready(unsigned warp)
{
    for (unsigned i = warp * 32; i < thread_count && i < warp * 32 + 32; ++i)
        if (fibers[i].state == READY)
            return true;
    return false;
}

/* A warp runs until its threads wait for other warps, so that warps drift as far apart as their
 * barriers let them; in random order it may be left at any meeting. */
static bool run_warps()
{
    const unsigned warps = (thread_count + 31) / 32;
    const unsigned turn = order == EMULATOR_RANDOM ? (unsigned)random_next() % warps : 0;
    bool ran = false;
    for (unsigned i = 0; i < warps; ++i) {
        const unsigned warp = order == EMULATOR_REVERSE ? warps - 1 - i : (i + turn) % warps;
        while (warp_ready(warp)) {
            ran = true;
            run_lanes(warp);
            if (order == EMULATOR_RANDOM && random_next() % 16 == 0)
                break;
        }
    }
    return ran;
}

/* All that still run stand at the barrier: it opens. Else somebody waits for ever. */
static bool open_barrier()
{
    bool waiting = false;
    for (unsigned i = 0; i < thread_count; ++i) {
        current = &fibers[i]; /* for the message alone */
        if (fibers[i].state == AT_MEETING)
            fail("waits for lanes of its warp that never come");
        waiting |= fibers[i].state == AT_BARRIER;
    }
    current = &scheduler;
    for (unsigned i = 0; i < thread_count; ++i)
        if (fibers[i].state == AT_BARRIER)
            fibers[i].state = READY;
    return waiting;
}

static void run_block()
{
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(shared, sizeof shared);
#endif
    memset(shared, 0xff, dynamic_bytes + STATIC_BYTES); /* NaN in every format */
    shared_used = dynamic_bytes;
    variable_count = 0;
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(shared + dynamic_bytes, sizeof shared - dynamic_bytes);
#endif
    for (unsigned i = 0; i < thread_count; ++i) {
        fibers[i].thread = dim3(i, 0, 0);
        fibers[i].state = READY;
        fibers[i].copy_count = fibers[i].group = 0;
        fibers[i].barriers = 0;
    }
    hand_over(&start_token);
    do {
        while (run_warps()) {
        }
    } while (open_barrier());
    take_over(&end_token);
    ++counts.blocks;
    counts.threads += thread_count;
}

void launch_body(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared_bytes,
                 Body what)
{
    if (current != &scheduler)
        fail("a kernel launches another");
    if (block.x == 0 || block.x > THREADS_MAX || block.y != 1 || block.z != 1)
        fail("%s: a block of %u x %u x %u threads", name, block.x, block.y, block.z);
    if (grid.x == 0 || grid.x > 0x7fffffffU || grid.y == 0 || grid.y > 65535 || grid.z == 0 ||
        grid.z > 65535)
        fail("%s: a grid of %u x %u x %u blocks", name, grid.x, grid.y, grid.z);
    if (shared_bytes > allowed_shared(kernel))
        fail("%s: %zu bytes of dynamic shared memory, allowed %zu", name, shared_bytes,
             allowed_shared(kernel));
    ++counts.launches;
    kernel_name = name;
    thread_count = block.x;
    grid_size = grid;
    block_size = block;
    dynamic_bytes = (shared_bytes + 127) / 128 * 128;
    body = what;
#if defined(EMULATOR_TSAN)
    scheduler.tsan = __tsan_get_current_fiber();
#endif
    for (unsigned i = 0; i < thread_count; ++i)
        if (fibers[i].stack == NULL)
            fiber_make(&fibers[i]);
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    const uint64_t turn = order == EMULATOR_RANDOM ? random_next() % blocks : 0;
    for (uint64_t i = 0; i < blocks; ++i) {
        const uint64_t b = order == EMULATOR_REVERSE ? blocks - 1 - i : (i + turn) % blocks;
        block_index = dim3((unsigned)(b % grid.x), (unsigned)(b / grid.x % grid.y),
                           (unsigned)(b / grid.x / grid.y));
        run_block();
    }
}

/* ---------------------------------------------------------------------------------- shared memory
 */

void *shared_variable(const char *file, int line, size_t bytes)
{
    for (int i = 0; i < variable_count; ++i)
        if (variables[i].line == line && strcmp(variables[i].file, file) == 0)
            return variables[i].place;
    if (variable_count == VARIABLES_MAX || shared_used + bytes > dynamic_bytes + STATIC_BYTES)
        fail("more than 48 KiB of static shared memory");
    unsigned char *const place = shared + shared_used;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(place, bytes);
#endif
    shared_used += (bytes + 2 * GUARD_BYTES - 1) / GUARD_BYTES * GUARD_BYTES;
    variables[variable_count++] = SharedVariable{file, line, place};
    return place;
}

unsigned char *shared_dynamic()
{
    return shared;
}

void require_shared(const void *place, size_t bytes, size_t alignment, const char *what)
{
    const unsigned char *const byte = static_cast<const unsigned char *>(place);
    if (byte < shared || byte + bytes > shared + dynamic_bytes)
        fail("%s outside of the block's dynamic shared memory", what);
    if (reinterpret_cast<uintptr_t>(place) % alignment != 0)
        fail("%s at an address that is no multiple of %zu", what, alignment);
}

static void copy_land(const PendingCopy &copy)
{
    saw_write(copy.shared, 16);
    saw_read(copy.global, (size_t)copy.bytes);
    memset(copy.shared, 0, 16);
    memcpy(copy.shared, copy.global, (size_t)copy.bytes);
}

void copy_later(void *to, const void *global, int bytes)
{
    require_shared(to, 16, 16, "cp.async writes");
    if (reinterpret_cast<uintptr_t>(global) % 16 != 0)
        fail("cp.async reads an address that is no multiple of 16");
    if (bytes != 0 && bytes != 16)
        fail("cp.async of %d bytes", bytes);
    const PendingCopy copy = {to, global, bytes, current->group};
    const bool at_once =
        order == EMULATOR_REVERSE || (order == EMULATOR_RANDOM && random_next() % 2 == 0);
    if (at_once) {
        copy_land(copy);
        return;
    }
    if (current->copy_count == COPIES_MAX)
        fail("more than %d cp.async under way", COPIES_MAX);
    current->copies[current->copy_count++] = copy;
}

void copies_commit()
{
    ++current->group;
}

void copies_wait(int pending)
{
    int kept = 0;
    for (int i = 0; i < current->copy_count; ++i) {
        if (current->copies[i].group < current->group - pending)
            copy_land(current->copies[i]);
        else
            current->copies[kept++] = current->copies[i];
    }
    current->copy_count = kept;
}

/* ------------------------------------------------------------------------------- barriers, warps
 */

/* One meeting of a warp at a time: sets of lanes that meet apart, which CUDA allows, are refused.
 */
struct Meeting {
    unsigned mask, arrived, number;
    Operation operation;
};
static Meeting meetings[THREADS_MAX / 32];

static void arrive(Meeting *meeting, unsigned mask, Operation operation)
{
    const unsigned bit = 1U << lane_index();
    if ((mask & bit) == 0)
        fail("a lane that its own mask %08x does not name", mask);
    if (meeting->arrived == 0)
        *meeting = Meeting{mask, 0, meeting->number + 1, operation};
    if (meeting->mask != mask || meeting->operation != operation)
        fail("others wait with mask %08x for operation %d, this lane with %08x for %d",
             meeting->mask, (int)meeting->operation, mask, (int)operation);
    meeting->arrived |= bit;
}

void meet(unsigned mask, Operation operation, void *payload, void (*complete)(Payloads &))
{
    const unsigned warp = current->thread.x / 32;
    Fiber *const lanes = fibers + warp * 32;
    Meeting *const meeting = &meetings[warp];
    ++counts.warp_operations;
    arrive(meeting, mask, operation);
    current->payload = payload;
    char *const token = &warp_token[warp][meeting->number % 2];
    hand_over(token);
    if (meeting->arrived != mask) {
        current->state = AT_MEETING;
        switch_to(&scheduler);
    } else {
        Payloads all = {{}, mask};
        take_over(token);
        for (unsigned i = 0; i < 32; ++i)
            if ((mask >> i & 1) != 0)
                all.of[i] = lanes[i].payload;
        if (complete != NULL)
            complete(all);
        for (unsigned i = 0; i < 32; ++i)
            if ((mask >> i & 1) != 0)
                lanes[i].state = READY;
        meeting->arrived = 0;
        hand_over(token);
    }
    take_over(token);
}

} // namespace emulation

void __syncthreads()
{
    using namespace emulation;
    char *const token = &barrier_token[current->barriers++ % 2];
    hand_over(token);
    current->state = AT_BARRIER;
    switch_to(&scheduler);
    take_over(token);
}

void __syncwarp(unsigned mask)
{
    emulation::meet(mask, emulation::SYNC, NULL, NULL);
}

unsigned __ballot_sync(unsigned mask, bool value)
{
    emulation::Vote mine = {value, 0};
    emulation::meet(mask, emulation::BALLOT, &mine, emulation::complete_ballot);
    return mine.result;
}

unsigned __match_any_sync(unsigned mask, uint32_t value)
{
    emulation::Vote mine = {value, 0};
    emulation::meet(mask, emulation::MATCH, &mine, emulation::complete_match);
    return mine.result;
}

/* ------------------------------------------------------------------------- what the tests set */

void emulator_order(EmulatorOrder order, uint64_t seed)
{
    emulation::order = order;
    emulation::random_state = seed * 2 + 1;
}

void emulator_plant(int bug)
{
    emulation::planted_bug = bug;
}

EmulatorCounts emulator_counts(void)
{
    return emulation::counts;
}
