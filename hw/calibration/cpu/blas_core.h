/* Which kernels OpenBLAS takes. */
#ifndef HW_CALIBRATION_CPU_BLAS_CORE_H
#define HW_CALIBRATION_CPU_BLAS_CORE_H

/* OpenBLAS takes its oldest kernels for a CPU newer than itself. Where the CPU has the instructions
 * of better ones, the program starts itself again with these words (those of main) and names them
 * in OPENBLAS_CORETYPE, as the library reads that only when it is loaded. A name that the user gave
 * stays. Comes back when the kernels are right, or nothing can be done. */
void blas_core_choose(char **words);

#endif
