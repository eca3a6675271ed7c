/*
 * Stand-ins for the kernel headers that copy routines include. Which kernel header
 * defines which macro changed often between 2.6 and 7.3, so each stand-in brings all.
 */
#ifndef MCVERIFY_ALL_H
#define MCVERIFY_ALL_H

#include <mcverify/prelude.h>
#include <mcverify/numbers.h>
#include <mcverify/features.h>
#include <mcverify/registers.h>
#include <mcverify/annotations.h>
#include <mcverify/linkage.h>
#include <mcverify/alternative.h>
#include <mcverify/extable.h>
#include <mcverify/stand_ins.h>

#endif
