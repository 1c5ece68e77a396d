/* Stands before the test API's library and says that it is older than the header. */
#include <stdint.h>

uint32_t fixture_abi_version(void);

uint32_t fixture_abi_version(void) { return 1; }
