#include "hw/calibration/cpu/blas_core.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void blas_core_choose(char **words)
{
    static const char *const OLD_CORES[] = {"Prescott",   "Core2",       "Penryn",  "Dunnington",
                                            "Nehalem",    "Sandybridge", "Generic", "Katmai",
                                            "Coppermine", "Northwood",   "Banias"};
#if defined(__x86_64__)
    const char *better = NULL;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        better = "SkylakeX";
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        better = "Haswell";
    for (size_t i = 0; better != NULL && i < sizeof OLD_CORES / sizeof OLD_CORES[0]; ++i)
        if (strcmp(openblas_get_corename(), OLD_CORES[i]) == 0 &&
            getenv("OPENBLAS_CORETYPE") == NULL && setenv("OPENBLAS_CORETYPE", better, 0) == 0)
            execv("/proc/self/exe", words); /* comes back only on failure: the old kernels then */
#else
    (void)words;
    (void)OLD_CORES;
#endif
}
