// A program that does nothing: what starting the runtime takes by itself.
export {};
