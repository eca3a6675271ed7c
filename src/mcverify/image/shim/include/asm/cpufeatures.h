#include <mcverify/all.h>
