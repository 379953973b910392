//! What the standard library is for elsewhere: memory, and the end of a panic; knows nothing of what runs on it.
//!
//! A page loads every byte, and of the standard library's there would be more than of our own.

use core::arch::wasm32::unreachable;
use core::panic::PanicInfo;

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

#[global_allocator]
static MEMORY: WasmDynamicTalc = new_wasm_dynamic_allocator();

/// Ends the call with a trap, which JavaScript sees as an error with the stack.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unreachable()
}
