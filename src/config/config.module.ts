// Owns the settings.
// Must never know what they are for.
import { type DynamicModule, Module } from '@nestjs/common';

import { SETTINGS, type Settings } from './settings.js';

@Module({})
export class ConfigModule {
  static with(settings: Settings): DynamicModule {
    return {
      module: ConfigModule,
      global: true,
      providers: [{ provide: SETTINGS, useValue: settings }],
      exports: [SETTINGS],
    };
  }
}
